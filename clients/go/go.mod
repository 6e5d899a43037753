module ringman

go 1.25.0
