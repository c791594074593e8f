"""What others reach with the same budget: problems, solvers, runs and tables."""
