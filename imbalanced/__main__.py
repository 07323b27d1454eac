"""``python -m imbalanced`` is the command."""

from imbalanced.cli import main

if __name__ == "__main__":
    main()
