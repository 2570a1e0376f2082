"""Parts of which several families are made."""
