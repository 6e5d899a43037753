module ringman.test/console

go 1.25.0
