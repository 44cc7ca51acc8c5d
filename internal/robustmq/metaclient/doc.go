// Package metaclient calls RobustMQ's meta service on one node, with limits on every dial, and decodes what it answers.
package metaclient
