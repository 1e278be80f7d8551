module github.com/capture-worker/capture-worker/bench/peers/contest

go 1.26.0
