// Package catalogue lists every setting of RobustMQ: where it stands in each version's server.toml, what it takes, what it is by default, and who sets it.
// The rules of spec.config, the renderer of server.toml, changes to a running server and docs/config.md all read this one list.
//
// Sources: types, widths, places and defaults are those of RobustMQ's configuration structures in each of its tags from 0.3.0 to 0.4.11, compared with one another;
// ranges narrower than a width follow from what its source does with the value (a timer of zero ends its task, a limiter of zero the process).
// test/contract/catalogue_test.go holds the list against a running server, both ways: each key is seen, and nothing is seen that is not listed.
package catalogue

//go:generate go run ./reference ../../../../docs/config.md
