"""Tables, figures and the page of a finished study."""
