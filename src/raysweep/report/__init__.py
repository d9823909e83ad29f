"""What people look at: the HTML report, notebook views, the model card."""
