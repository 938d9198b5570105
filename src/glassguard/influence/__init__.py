"""Internal influence (Leino et al. 2018) and guided backpropagation (Springenberg et al. 2014)."""
