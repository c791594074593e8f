"""What is searched in place of the function, and how."""
