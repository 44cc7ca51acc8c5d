// Package policy holds the RobustMQPolicies in memory for admission, and audits the clusters that exist against them: it writes the policies' status and a metric, and touches nothing else.
//
// Nothing depends on it. Where the API server has no such kind, or the operator may not read it, there are no policies, and it looks again from time to time.
package policy
