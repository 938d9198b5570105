"""What a folder of photographs becomes, before a study is made of it."""
