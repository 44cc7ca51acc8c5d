// Package lab starts RobustMQ servers for the contract suite: simulated ones in this process, or real ones in network namespaces, behind one interface.
package lab
