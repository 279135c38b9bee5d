"""How the steps of a flow run, and what that costs; README.md has the table."""
