package v1alpha1

// Types of the conditions of a RobustMQPolicy are Ready and Compliant. Both are present, Unknown, from the first second; this list is closed.
const (
	// ConditionCompliant: every cluster that the policy selects has what it asks for.
	ConditionCompliant = "Compliant"
)

// PolicyConditionTypes lists all types of a policy's conditions in the order in which they are shown. Ready means that all that the policy says is in force.
var PolicyConditionTypes = []string{ConditionReady, ConditionCompliant}

// Reasons of a policy's conditions; this list is closed.
const (
	// ReasonInForce: all that the policy says is in force.
	ReasonInForce = "InForce"
	// ReasonPartlyIgnored: the policy says something that cannot be, which is ignored; the rest is in force.
	ReasonPartlyIgnored = "PartlyIgnored"
	// ReasonAllComply: every cluster has what the policy asks for.
	ReasonAllComply = "AllComply"
	// ReasonViolated: clusters do not have what the policy asks for.
	ReasonViolated = "Violated"
)
