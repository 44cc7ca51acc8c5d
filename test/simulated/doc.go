// Package simulated proves the operator in one process: the real controllers and agents, a real API server, simulated RobustMQ servers, hurried time and faults from a printed seed.
//
// It needs kube-apiserver and etcd: KUBEBUILDER_ASSETS names their folder, else the bed's cache is looked through. More of the same work is asked for by the environment:
//
//	SIM_FORMATIONS=200   random formations (default 16), from seed SIM_FIRST_SEED (default 1)
//	SIM_SEED=7           only the random formation with this seed
//	SIM_CRASHES=all      an operator killed after every single write of a formation (default: after 8 of them)
//	SIM_SPEED=10         how much faster than life time runs (default 6); an idle machine bears 10 and more
//	SIM_LONG=1           also the tests that take minutes each: operators killed at every point of a change, changes taken back, gaps that clients see (make soak)
//	SIM_KEEP=1           keep logs and volumes of worlds that passed, too
package simulated
