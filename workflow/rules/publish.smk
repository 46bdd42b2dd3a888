# Published studies: `snakemake publish` keeps in git what a finished study is drawn from, `snakemake published` draws all
# of them anew, on a fresh clone, without training anything.
PUBLISHED_HERE = f"results/published/{STUDY.config.study}"


localrules:
    publish,
    published,
    browsable_report,


def published_files():
    """What the study at hand is drawn from, by paths in its folder."""
    drawing = DRAWN[RESULTS]
    compared = {folder for models in drawing.compared.values() for folder in models.values()}
    answers = {question for figure in FIGURES for question in constant(f"spikesink.figures.{figure}", "QUESTIONS")}
    tabulated = constant("spikesink.tables.mechanism", "READ")
    files = [
        f"tables/parts/{ablation}/{part}.parquet" for ablation in drawing.ablations or [BASELINE] for part in PART_NAMES
    ]
    for folder in drawing.in_depth.values():
        questions = answers.union(tabulated) if folder in compared else tabulated
        files += [f"{folder}/measures/{question}.parquet" for question in sorted(questions)]
        if folder.startswith("runs/"):
            files += [f"{folder}/run.json", f"{folder}/manifest.json"]
    return [*files, "provenance.csv"]


rule publish:
    input:
        [f"{RESULTS}/{name}" for name in published_files()],
        drawn_files(RESULTS),
    output:
        f"{PUBLISHED_HERE}/manifest.json",
    log:
        f"{RESULTS}/logs/publish.log",
    message:
        f"publish the study in {PUBLISHED_HERE}"
    run:
        digests = {
            "training": code_digest("spikesink.training.__main__"),
            **{f"measures of {group}": code_digest(f"spikesink.measures.answers.{group}") for group in GROUPS},
            "tables": code_digest("spikesink.tables.collect"),
        }
        facts = {"drawn": DRAWN[RESULTS]._asdict(), "code": digests}
        said = publish(Path(RESULTS), Path(PUBLISHED_HERE), published_files(), WRITTEN, facts)
        Path(log[0]).write_text(f"{said}\n")


rule published:
    input:
        [f"{results}/report.html" for results in PUBLISHED],


rule browsable_report:
    input:
        lambda wildcards: drawn_files(wildcards.results),
    output:
        "{results}/report.html",
    log:
        "{results}/logs/report.log",
    message:
        "report of {wildcards.results}"
    shell:
        # The Snakemake around it holds the lock, and has done what the report shows.
        "snakemake --nolock --report {output} -- {input} > {log} 2>&1"
