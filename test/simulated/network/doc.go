// Package network is what lies between simulated pods: loopback addresses that are never reused, the names that CoreDNS would answer, and faults on the way.
package network
