"""One module per question, or per few questions that share work: a model and held-out tokens in, tidy rows out.

Every module declares three literals and one function:

* GROUP: the group of questions that one job answers (spikesink.measures.groups);
* QUESTIONS: the tables it yields, in this order; each becomes measures/<question>.parquet;
* READS: the keys of the config's measures section that it reads;
* ``answers(subject, settings)`` yields the name of every question with the rows of its table.
"""
