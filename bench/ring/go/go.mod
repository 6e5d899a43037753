module ringman/bench/ring

go 1.19

require github.com/serialx/hashring v0.0.0-20190422032157-8b2912629002
