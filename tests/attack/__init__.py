"""What somebody could try who means no good."""
