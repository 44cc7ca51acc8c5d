// Package restore carries out RobustMQRestores: it chooses a backup once, stops the placement centre, has one image given to every member, lets them start together on it, and compares them, or takes it all back.
//
// Every pass observes, decides with pure functions (decide.go and a file for each part of the way), writes the status and then acts. No decision depends on what an operator remembers:
// what cannot be observed again stands in the status before the act that needs it, and every act may be repeated.
package restore
