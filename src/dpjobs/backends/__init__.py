"""The backends: what counts a question's cells, exactly, and shows the totals to nobody."""
