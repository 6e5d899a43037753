module ringman.test/sidecar-stand-in

go 1.22
