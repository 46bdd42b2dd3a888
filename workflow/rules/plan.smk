# What the study will cost: `snakemake plan`. It runs inside Snakemake, on the config that Snakemake merged, as costs of
# thousands of runs are too long for a command line.
localrules:
    plan,


rule plan:
    output:
        f"{RESULTS}/plan.csv",
    log:
        f"{RESULTS}/logs/plan.log",
    params:
        costs=lambda wildcards: canonical([asdict(cost) for cost in costs(STUDY)]),
    message:
        "plan: what the study will cost"
    run:
        write_plan(costs(STUDY), output[0], log[0])
