# Published studies: `snakemake publish` keeps in git what a finished study is drawn from, `snakemake published` draws all
# of them anew, on a fresh clone, without training anything.
PUBLISHED_HERE = f"results/published/{STUDY.config.study}"


localrules:
    publish,
    published,
    browsable_report,


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
        publish_study(PUBLISHED_HERE, log[0])


rule published:
    input:
        lambda wildcards: [f"{intact(Path(results))}/report.html" for results in PUBLISHED],


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
