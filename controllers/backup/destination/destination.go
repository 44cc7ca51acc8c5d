// Package destination is the API's place in S3 as Jobs are told it.
package destination

import (
	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
)

// Of is what a Job is told of a destination: everything but the Secrets, which are mounted beside.
func Of(d *v1alpha1.S3Destination) job.Destination {
	told := job.Destination{
		Bucket: d.Bucket, Prefix: d.Prefix, Endpoint: d.Endpoint, Region: d.Region, PathStyle: d.PathStyle,
		StaticCredentials: d.CredentialsSecretName != "", PrivateCA: d.CASecretName != "",
	}
	if e := d.ServerSideEncryption; e != nil {
		told.ServerSideEncryption = &job.ServerSideEncryption{Mode: string(e.Mode), KMSKeyID: e.KMSKeyID}
	}
	return told
}
