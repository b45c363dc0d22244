from serving.migrations import run

run("signer_schema")
