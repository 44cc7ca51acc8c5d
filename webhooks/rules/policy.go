package rules

// Policy is a RobustMQPolicy as the rules see it.
type Policy struct {
	// Name of the RobustMQPolicy; denials repeat it.
	Name string
	// Actions that it gives to rules, by their names.
	Actions map[string]Action
}

// decide returns what follows from a violation of a rule whose own action is the given one, and the policies that made it stricter.
// Of several policies the strictest wins, and a policy that does not name the rule says nothing. What the table denies stays denied.
func (c Context) decide(rule string, own Action) (Action, []string) {
	if own == Deny {
		return own, nil
	}
	var strictest Action
	var names []string
	for _, p := range c.Policies {
		switch a, ok := p.Actions[rule]; {
		case !ok:
		case strictest == "" || a.Stricter(strictest):
			strictest, names = a, []string{p.Name}
		case a == strictest:
			names = append(names, p.Name)
		}
	}
	switch {
	case strictest == "":
		return own, nil
	case strictest.Stricter(own):
		return strictest, names
	}
	return strictest, nil
}
