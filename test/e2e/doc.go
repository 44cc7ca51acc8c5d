// Package e2e proves the product on real kubelets: `make e2e`. The tests need the build tag e2e and a Kubernetes with the project's images (`make bed-load`);
// those that cut power and cables need the bed itself.
//
//	make e2e                       the pass that is part of `make test`: form, back up, kill, delete, adopt; refusals
//	E2E_LONG=1 make e2e            everything, with outages of three minutes and a quiet of ten
//	E2E_OUTAGE=1m E2E_QUIET=2m     shorter ones
//	E2E_LONG=1 make e2e TESTFLAGS='-run TheRunbooks'
//	                               the pages of docs/runbooks, followed as they are written: their commands are taken out of the pages
//	E2E_OPERATOR_KILLED=30s        with the leading replica of the operator killed at random times all along
//	E2E_PICTURES=docs/dashboards   (with E2E_LONG) the dashboards drawn of what Prometheus saw
//	ROBUSTMQ_BIN=path make e2e     with that server instead of the simulator
package e2e
