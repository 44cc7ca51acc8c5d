// Package webhooks answers the API server's questions about objects of robustmq.io before they are stored: defaults, refusals, warnings.
// What may stand in a spec is decided in its package rules; here is only the way in: decoding, answers, certificates.
package webhooks
