"""The Markdown page of a record of benchmarks/peers.py."""

import statistics


def page(record: dict) -> str:
    """All ratios and tables of a record."""
    machine = record["machine"]
    device = machine.get("gpu") or machine.get("processor")
    lines = [f"# Speed against peers: {device}", "", "Written by `benchmarks/peers.py`.", ""]
    lines += table(["", ""], [[key, value] for key, value in machine.items()])
    # What the shares of the other sections are of.
    top = (record["sections"].get("ceiling", {}).get("found") or {}).get("ceiling")
    for name, section in record["sections"].items():
        lines += [f"## {TITLES[name]}", ""]
        if "failed" in section:
            lines += [f"Failed after {section['seconds']} s: `{first_line(section['failed'])}`", ""]
        else:
            lines += BODIES[name](section["found"] | {"top": top})
    return "\n".join(lines)


def table(head: list[str], rows: list[list]) -> list[str]:
    cells = [[shown(cell) for cell in row] for row in rows]
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in cells),
        "",
    ]


def shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value).replace("|", "\\|")


def first_line(text: str) -> str:
    return text.strip().splitlines()[0][:300] if text.strip() else ""


def failures(found: dict) -> list[str]:
    return [f"* {name}: `{first_line(error)}`" for name, error in found.get("failed", {}).items()] + [""]


def ceiling(found: dict) -> list[str]:
    return table(["rows x depth x columns", "TFLOP/s"], [[name, value] for name, value in found["tflops"].items()])


def entries(found: dict) -> list[str]:
    head = ["step", "tokens/s", "TFLOP/s", "share of the ceiling", "ms", "peak GPU MB", "seconds to the second step"]
    rows = []
    for name, one in found["entries"].items():
        tflops = one["tokens_per_second"] * one["flops_per_token"] / 1e12
        share = f"{tflops / found['top']:.1%}" if found["top"] else None
        milliseconds = 1000 * statistics.median(one["seconds"])
        rows.append(
            [name, one["tokens_per_second"], tflops, share, milliseconds, one.get("peak_gpu_mb"), one["first_seconds"]]
        )
    return table(head, rows)


def ratios(found: dict, what: str) -> list[str]:
    rows = [[name, *one.values()] for name, one in found["ratios"].items() if one]
    return table(["step", what, "smallest", "largest"], rows)


def scales(found: dict) -> list[str]:
    lines = entries(found) + ratios(found, "times the tokens/s of transformers") + failures(found)
    for name, one in (found.get("profile") or {}).items():
        if one:
            lines += [f"Kernels of {name}, milliseconds a step:", ""]
            lines += table(["group", "ms"], [list(item) for item in one["milliseconds"].items()])
            lines += table(["kernel", "ms"], [[f"`{kernel}`", time] for kernel, time in one["longest"]])
    return lines


def checks(found: dict) -> list[str]:
    lines = []
    if rows := found.get("against_cpu"):
        right = sum(row["right"] for row in rows)
        lines += [f"{right} of {len(rows)} variants have the CPU's logits and gradients, in float32:", ""]
        head = ["variant", "logits", "worst gradient", "its difference", "right"]
        lines += table(head, [list(row.values()) for row in rows])
    run = found["run"]
    lines += ["A nano run that trained, was interrupted and resumed, and was measured:", ""]
    simple = {key: value for key, value in run.items() if not isinstance(value, dict)}
    return lines + table(["", ""], [[key, value] for key, value in simple.items()])


def variants(found: dict) -> list[str]:
    return ratios(found, "times the baseline's tokens/s") + entries(found) + failures(found)


def nano(found: dict) -> list[str]:
    rows = [[name, 1 / statistics.median(one["seconds"])] for name, one in found["entries"].items()]
    together = [[one["processes"], one["steps_per_second"]] for one in found["together"]]
    return table(["step", "steps/s"], rows) + table(["processes at once", "steps/s, all"], together) + failures(found)


def runs(found: dict) -> list[str]:
    rows = []
    for key, title in (("pairs", f"{found['steps']} steps"), ("first_step", "1 step")):
        for own, loop in found[key]:
            parts = [own["cpu_seconds"], loop["cpu_seconds"], own["cpu_seconds"] / loop["cpu_seconds"]]
            rows.append([title, *parts, own["peak_mb"], loop["peak_mb"], own["peak_mb"] / loop["peak_mb"]])
    head = ["", "run: CPU s", "bare loop: CPU s", "times", "run: peak MB", "bare loop: peak MB", "times"]
    return table(head, rows)


TITLES = {
    "ceiling": "How fast are matrix products alone?",
    "scales": "Our decoder against transformers",
    "checks": "Is the device right?",
    "variants": "Every variant against the baseline",
    "nano": "The nano scale",
    "runs": "A whole training process against a bare loop",
}
BODIES = {
    "ceiling": ceiling,
    "scales": scales,
    "checks": checks,
    "variants": variants,
    "nano": nano,
    "runs": runs,
}
