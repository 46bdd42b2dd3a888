# What people ask Snakemake for: `snakemake`, `snakemake norm`, `snakemake tables` and so on. These rules run nothing
# themselves. A target also asks for what is missing of the runs, measures and parts that it rests on.
rule tables:
    input:
        drawn.tables(drawn_of(NAME)),
        lambda wildcards: rests_on(STUDY.runs),


# From tables alone, where no run is: a copy of the tables is enough.
rule figures:
    input:
        drawn.figures(drawn_of(NAME)),


rule mechanism:
    input:
        drawn.mechanism(drawn_of(NAME)),
        in_depth(),


rule claims:
    input:
        f"results/{NAME}/claims.csv",


# Measures of the published models that the config names.
rule pretrained:
    input:
        drawn.answers(
            drawn_of(NAME),
            map(drawn.model_folder, PRETRAINED),
            drawn_of(NAME).questions,
        ),


# One target per ablation, called like it: norm, ffn, ... It makes the ablation's runs, its table and its figures.
for ablation in STUDY.ablations:

    rule:
        name:
            ablation
        input:
            drawn.ablation_files(drawn_of(NAME), ablation),
            lambda wildcards, ablation=ablation: rests_on([*STUDY.of(BASELINE), *STUDY.of(ablation)]),


# One target per published study: published_nano, ... It draws the study anew from its folder in git.
for study in PUBLISHED:

    rule:
        name:
            f"published_{Path(study).name}"
        input:
            lambda wildcards, study=study: drawn.drawn_files(drawn_of(published.intact(study))),


rule published:
    input:
        lambda wildcards: [path for study in PUBLISHED for path in drawn.drawn_files(drawn_of(published.intact(study)))],
