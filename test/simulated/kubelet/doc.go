// Package kubelet runs the pods of one namespace in this process: a loopback address for every pod, volumes as folders, containers as functions, probes over real TCP.
// It does what a kubelet and the scheduler of Kubernetes 1.37 do as far as an operator can see it; every duration is divided by the speed.
package kubelet
