"""Detection of impersonation from influence profiles (Dong, Fredrikson, Leino 2019)."""
