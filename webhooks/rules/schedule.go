package rules

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/schedule"
)

// maxScheduleName in characters, as the schema has it.
const maxScheduleName = 20

func scheduleValid(_, new *cluster, _ Context) []Violation {
	if new.Spec.Backup == nil {
		return nil
	}
	var out []Violation
	seen := map[string]bool{}
	for i := range new.Spec.Backup.Schedules {
		s, at := &new.Spec.Backup.Schedules[i], spec.Child("backup", "schedules").Index(i)
		if seen[s.Name] {
			out = append(out, Violation{Field: at.Child("name"), Value: s.Name, Message: "another schedule has this name, and backups are named after their schedule", WayOut: "give each a name of its own"})
		}
		seen[s.Name] = true
		if v := scheduleName(new.Name, s.Name); v != nil {
			v.Field, v.Value = at.Child("name"), s.Name
			out = append(out, *v)
		}
		zone, err := schedule.Zone(s.TimeZone)
		if err != nil {
			out = append(out, Violation{
				Field: at.Child("timeZone"), Value: s.TimeZone, Message: err.Error(), WayOut: "write a name of the IANA database, such as Europe/Berlin or Etc/UTC",
			})
			zone, _ = schedule.Zone("") // the line is judged all the same; UTC is always there
		}
		if _, err := schedule.Parse(s.Cron, zone); err != nil {
			out = append(out, Violation{
				Field: at.Child("cron"), Value: s.Cron, Message: "the line cannot be followed: " + err.Error(),
				WayOut: `write minute, hour, day of month, month and day of week, such as "0 * * * *" for every hour, or @hourly, @daily, @weekly, @monthly, or @every with a duration of a minute or more`,
			})
		}
	}
	return out
}

// scheduleName says what is wrong with the name of a schedule of a cluster, or nil. Backups are called <cluster>-<schedule>-<minute>.
func scheduleName(clusterName, name string) *Violation {
	switch most := v1alpha1.MaxScheduledLength - len(clusterName); {
	case len(name) > maxScheduleName:
		return &Violation{Message: fmt.Sprintf("%d characters are more than %d", len(name), maxScheduleName), WayOut: "shorten it"}
	case len(validation.IsDNS1035Label(name)) > 0:
		return &Violation{Message: "it is part of object names", WayOut: "write lower-case letters, digits and dashes, beginning with a letter"}
	case len(name) > most:
		return &Violation{
			Message: fmt.Sprintf("with the cluster's name it has %d characters, and names of backups, %s-%s-29660520 and the like, have room for %d", len(clusterName)+len(name), clusterName, name, v1alpha1.MaxScheduledLength),
			WayOut:  fmt.Sprintf("shorten it to %d", most),
		}
	}
	return nil
}

func retentionKeepsOne(_, new *cluster, _ Context) []Violation {
	if new.Spec.Backup == nil {
		return nil
	}
	var out []Violation
	for i := range new.Spec.Backup.Schedules {
		r, at := &new.Spec.Backup.Schedules[i].Retention, spec.Child("backup", "schedules").Index(i).Child("retention")
		if r.KeepLast != nil && *r.KeepLast < 1 {
			out = append(out, Violation{Field: at.Child("keepLast"), Value: *r.KeepLast, Message: "with none kept the last good backup would go too", WayOut: "write 1 or more"})
		}
		if r.MaxAge != nil && r.MaxAge.Duration <= 0 {
			out = append(out, Violation{
				Field: at.Child("maxAge"), Value: r.MaxAge.Duration.String(), Message: "no backup is younger than that", WayOut: "write one such as 720h, or leave it out and keep by number with keepLast",
			})
		}
	}
	return out
}
