"""One thin module per rule of the study: reads files, calls the science, writes files."""
