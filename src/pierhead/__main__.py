"""`python -m pierhead` is the command `pierhead`."""

from pierhead.cli.main import main

if __name__ == "__main__":
    main()
