"""What `analog-hil benchmark` times: one file per family, with a function `cases`. It never decides what is fast enough."""
