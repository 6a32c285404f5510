"""The subcommands of `analog-hil`, one module each with a `main(arguments)`. They read options and print; they never compute."""
