"""`python -m imbalanced.sim`: the verb `sim` by itself."""

from imbalanced.sim.cli import sim_command

if __name__ == "__main__":
    sim_command(prog_name="imbalanced sim")
