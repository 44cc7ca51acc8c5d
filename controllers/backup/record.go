package backup

import (
	"encoding/json"
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
)

// record is what a Job was asked to do, read back from the Job: a Job's template cannot change, and an operator that was started anew has nothing else.
type record struct {
	owner       job.Owner
	take        job.TakeRequest
	destination v1alpha1.S3Destination
	// problem says why it cannot be read.
	problem string
}

const requestFlag = "--request="

func readRecord(j *batchv1.Job) record {
	fail := func(format string, args ...any) record { return record{problem: fmt.Sprintf(format, args...)} }
	containers := j.Spec.Template.Spec.Containers
	if len(containers) != 1 || len(containers[0].Command) == 0 {
		return fail("its pod is not one that this operator makes")
	}
	command := containers[0].Command
	text, ok := strings.CutPrefix(command[len(command)-1], requestFlag)
	if !ok {
		return fail("it has no request")
	}
	request, err := job.Parse(job.Take, text)
	if err != nil {
		return fail("%v", err)
	}
	r := record{owner: request.Owner, take: *request.Take}
	if err := json.Unmarshal([]byte(j.Annotations[v1alpha1.AnnotationDestination]), &r.destination); err != nil {
		return fail("its annotation %s: %v", v1alpha1.AnnotationDestination, err)
	}
	// The annotation can be edited, the request cannot: what says where the backup is comes from the request.
	d := request.Destination
	r.destination.Bucket, r.destination.Prefix, r.destination.Endpoint, r.destination.Region, r.destination.PathStyle = d.Bucket, d.Prefix, d.Endpoint, d.Region, d.PathStyle
	r.destination.ServerSideEncryption = nil
	if e := d.ServerSideEncryption; e != nil {
		r.destination.ServerSideEncryption = &v1alpha1.ServerSideEncryption{Mode: v1alpha1.ServerSideEncryptionMode(e.Mode), KMSKeyID: e.KMSKeyID}
	}
	return r
}

// key of the manifest in the bucket.
func (r record) key() string {
	return manifestKey(r.destination.Prefix, r.owner.ClusterUID, r.take.BackupID())
}

// manifestKey is the name in the bucket of a backup's manifest; empty for what cannot have one.
func manifestKey(prefix, clusterUID, id string) string {
	a, err := archive.New(nil, prefix, clusterUID)
	if err != nil {
		return ""
	}
	return a.ManifestKey(id)
}

// idOf is the ID of a backup in its archive: made of what never changes, so that a second Job finds what a first one wrote.
func idOf(b *v1alpha1.RobustMQBackup) string { return archive.ID(b.CreationTimestamp.Time, b.Name) }
