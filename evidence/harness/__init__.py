"""What all experiments share: their command, their runs in processes of their own, their tables and results."""
