// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

func added(object string) string { return `{"type":"ADDED","object":` + object + `}` }

// flood writes the results of next until the client stops reading.
func flood(w http.ResponseWriter, r *http.Request, next func(i int) string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	for i := 0; r.Context().Err() == nil; i++ {
		if _, err := io.WriteString(w, next(i)); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
	}
}

// backupsAre makes list and watch answer the requests for Backups; with nil the model does.
func backupsAre(s *membertest.APIServer, list, watch http.HandlerFunc) {
	s.SetFault(func(w http.ResponseWriter, r *http.Request) {
		isBackups := strings.HasSuffix(r.URL.Path, "/backups")
		isWatch := r.URL.Query().Get("watch") != ""
		switch {
		case isBackups && isWatch && watch != nil:
			watch(w, r)
		case isBackups && !isWatch && list != nil:
			list(w, r)
		case isWatch:
			s.Watch(w, r, strings.TrimPrefix(r.URL.Path, "/apis/velero.io/v1/namespaces/"))
		default:
			s.List(w, r, strings.TrimPrefix(r.URL.Path, "/apis/velero.io/v1/namespaces/"))
		}
	})
}

// byCluster maps the names of clusters to their kubeconfigs.
type byCluster map[string]string

func (b byCluster) Kubeconfig(_ context.Context, _ string, cluster migration.Cluster) ([]byte, error) {
	return []byte(b[cluster.Name]), nil
}

func (byCluster) Refused(string, migration.Cluster) {}

// kubeconfigs returns the kubeconfigs of a hostile member and of a healthy one.
func kubeconfigs(hostile, other *membertest.APIServer) byCluster {
	return byCluster{"member1": hostile.Kubeconfig(), "member2": other.Kubeconfig()}
}

// TestHostileMembers checks that a member which sends too much is reported to exceed a limit, that
// little of it is kept in memory, and that calls to another member succeed meanwhile.
func TestHostileMembers(t *testing.T) {
	events := func(next func(i int) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { flood(w, r, next) }
	}
	page := func(continues, items string) http.HandlerFunc {
		return membertest.Answer(http.StatusOK, "application/json", membertest.BackupList(continues, items))
	}
	for name, test := range map[string]struct {
		list, watch http.HandlerFunc
		want        string
		exceeded    bool
	}{
		"objects without our label": {
			watch: events(func(i int) string { return added(membertest.Backup(fmt.Sprint("b", i), "", "")) }),
			want:  "backups are sent that were not asked for", exceeded: true,
		},
		"objects of another namespace": {
			watch: events(func(i int) string {
				return added(strings.Replace(membertest.Backup(fmt.Sprint("b", i), membertest.Label("u1"), ""), `"velero"`, `"other"`, 1))
			}),
			want: "backups are sent that were not asked for", exceeded: true,
		},
		"objects of another kind": {
			watch: events(func(int) string {
				return added(strings.Replace(membertest.Backup("r", membertest.Label("u1"), ""), `"Backup"`, `"Restore"`, 1))
			}),
			want: "backups are sent that were not asked for", exceeded: true,
		},
		"objects of Migrates that are not watched": {
			watch: events(func(i int) string {
				return added(membertest.Backup(fmt.Sprint("b", i), membertest.Label(fmt.Sprint("x", i)), `,"status":{"failureReason":"`+strings.Repeat("x", 256<<10)+`"}`))
			}),
			want: "take more than 8 MiB of memory here and then 1 MiB a second", exceeded: true,
		},
		"objects of our Migrate": {
			watch: events(func(i int) string { return added(membertest.Backup(fmt.Sprint("b", i), membertest.Label("u1"), "")) }),
			want:  "more than 16 backups belong to one Migrate", exceeded: true,
		},
		"objects of our Migrate that come and go": {
			watch: events(func(i int) string {
				return added(membertest.Backup("b1", membertest.Label("u1"), "")) + strings.Replace(added(membertest.Backup("b1", membertest.Label("u1"), "")), "ADDED", "DELETED", 1) + strings.Repeat(" ", 64<<10)
			}),
			want: "take more than 8 MiB of memory here and then 1 MiB a second", exceeded: true,
		},
		"a large object of our Migrate": {
			watch: events(func(int) string {
				return added(membertest.Backup("b1", membertest.Label("u1"), `,"status":{"failureReason":"`+strings.Repeat("x", 2<<20)+`"}`))
			}),
			want: "the backups that belong to one Migrate take more than 1 MiB of memory here", exceeded: true,
		},
		"an event without end": {
			watch: events(func(i int) string {
				if i == 0 {
					return `{"type":"ADDED","object":{"kind":"`
				}
				return strings.Repeat("x", 64<<10)
			}),
			want: "an event of the watch of backups takes more than 8 MiB of memory here", exceeded: true,
		},
		"an event that decodes to much": {
			watch: events(func(int) string {
				return added(membertest.Backup("b1", membertest.Label("u1"), `,"spec":{"hooks":{"resources":[`+strings.Repeat("{},", 200_000)+`{}]}}`))
			}),
			want: "an event of the watch of backups takes more than 8 MiB of memory here", exceeded: true,
		},
		"an event that stops in the middle": {
			watch: events(func(i int) string {
				if i == 0 {
					return `{"type":"ADDED","object":{`
				}
				time.Sleep(time.Millisecond) // it is slow
				return " "
			}),
			want: "the watch of backups ends again and again: no answer within 500ms",
		},
		"events that are none": {
			watch: events(func(int) string { return `{"type":"ADDED","object":[]}` }),
			want:  "the watch of backups ends again and again: the connection breaks, or its events can't be decoded",
		},
		"events of a type that is none": {
			watch: events(func(int) string { return `{"type":"` + strings.Repeat("X", 1000) + `","object":{}}` }),
			want:  "the watch of backups ends again and again: the connection breaks, or its events can't be decoded",
		},
		"errors": {
			watch: events(func(int) string {
				return `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":500,"message":"` + strings.Repeat("y", 1<<20) + `"}}`
			}),
			want: "the watch of backups ends again and again: yyyy",
		},
		"bookmarks": {
			watch: events(func(int) string {
				return strings.Replace(added(membertest.Backup("", "", "")), "ADDED", "BOOKMARK", 1) + strings.Repeat(" ", 64<<10)
			}),
			want: "take more than 8 MiB of memory here and then 1 MiB a second", exceeded: true,
		},
		"bookmarks of long versions": {
			watch: events(func(int) string {
				return strings.Replace(strings.Replace(added(membertest.Backup("", "", "")), "ADDED", "BOOKMARK", 1), `"2"`, `"`+strings.Repeat("2", 64<<10)+`"`, 1)
			}),
			want: "backups are sent that were not asked for", exceeded: true,
		},
		"pages without end": {
			list: page("more", membertest.Backup("b", membertest.Label("x"), "")),
			want: "the list of backups has more than 1000 pages of 100", exceeded: true,
		},
		"pages of our Migrate without end": {
			list: func(w http.ResponseWriter, r *http.Request) {
				var items []string
				for i := range 100 {
					items = append(items, membertest.Backup(fmt.Sprint("b", i, r.URL.Query().Get("continue")), membertest.Label("u1"), `,"status":{"failureReason":"`+strings.Repeat("x", 8<<10)+`"}`))
				}
				page(r.URL.Query().Get("continue")+"+", strings.Join(items, ","))(w, r)
			},
			want: "its objects that are kept take more than 32 MiB of memory here", exceeded: true,
		},
		"a token without end": {
			list: page(strings.Repeat("x", 1<<20), ""),
			want: "the list of backups has a continue token of more than 16384 bytes", exceeded: true,
		},
		"a page that is no page": {
			list: page("", strings.Repeat("{},", 100_000)+"{}"),
			want: "a list of 100 backups takes more than 16 MiB of memory here", exceeded: true,
		},
		"a list without our label": {
			list: page("", strings.Repeat(membertest.Backup("b", "", "")+",", 200)+membertest.Backup("b", "", "")),
			want: "backups are sent that were not asked for", exceeded: true,
		},
		"a list of our Migrate": {
			list: func(w http.ResponseWriter, r *http.Request) {
				var items []string
				for i := range 50 {
					items = append(items, membertest.Backup(fmt.Sprint("b", i), membertest.Label("u1"), ""))
				}
				page("", strings.Join(items, ","))(w, r)
			},
			want: "more than 16 backups belong to one Migrate", exceeded: true,
		},
		"an error of many causes": {
			list: func(w http.ResponseWriter, _ *http.Request) {
				membertest.Answer(http.StatusForbidden, "application/json", `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"no","details":{"causes":[`+
					strings.Repeat(`{"reason":"x"},`, 20_000)+`{}]}}`)(w, nil)
			},
			want: "no",
		},
		"a header without end": {
			list: func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
				page("", "")(w, r)
			},
			want: "COMPRESSION_ERROR",
		},
	} {
		t.Run(name, func(t *testing.T) {
			hostile, served := membertest.NewAPIServer(t), membertest.NewAPIServer(t)
			backupsAre(hostile, test.list, test.watch)
			o := impatient()
			o.CallTimeout = 500 * time.Millisecond
			if test.exceeded {
				o.CallTimeout = 10 * time.Second
				o.RetryMin, o.RetryMax = time.Hour, time.Hour
			}
			pool := newTestPool(t, kubeconfigs(hostile, served), o)
			s := newSpectator(t, pool)
			second := newSpectatorOf(t, pool, migration.Velero{Cluster: migration.Cluster{Kind: "AttachedCluster", Name: "member2"}, Namespace: "velero"})

			seen := s.await("the fault", "u1", failing(test.want))
			if got := errors.Is(seen.Err, migration.ErrLimitExceeded); got != test.exceeded {
				t.Errorf("exceeded a limit: %v, want %v", got, test.exceeded)
			}
			if len(seen.Err.Error()) > 2000 {
				t.Errorf("an error of %d bytes", len(seen.Err.Error()))
			}
			var status *apierrors.StatusError
			if errors.As(seen.Err, &status) && len(status.ErrStatus.Message) > 0 && status.ErrStatus.Details != nil {
				t.Errorf("the error has %d causes", len(status.ErrStatus.Details.Causes))
			}
			m := pool.Member("default", velero1)
			if test.exceeded && !errors.As(m.Read(t.Context(), objectsOf("u1")).Err, new(*limits.Error)) {
				t.Error("it is not left alone")
			}
			if !hasRoom(m.kept, 30<<20) {
				t.Error("more than 2 of 32 MiB are kept")
			}
			served.Put("backups", membertest.WithPhase(membertest.Object("b1", "u1"), "Completed"))
			second.await("the other member", "u1", func(m migration.Member) bool {
				return m.Err == nil && m.Backup != nil && m.Backup.Status.Phase == "Completed"
			})

			watched := m.watched()
			s.stop()
			second.stop()
			pool.Close()
			watched.Stop()
			if !hasRoom(m.kept, 32<<20) {
				t.Error("not all is given back")
			}
			// A reflector may return before its list has ended.
			given := func(context.Context) (bool, error) {
				return allIsFree(pool.kept, 32<<20) && allIsFree(pool.reading, 48<<20), nil
			}
			if err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 10*time.Second, true, given); err != nil {
				t.Error("not all that is for all members is given back")
			}
		})
	}
}

// hasRoom reports whether a quota has n free bytes.
func hasRoom(q *limits.Quota, n int64) bool {
	if q.Take(n) != nil {
		return false
	}
	q.Give(n)
	return true
}

// allIsFree reports whether members, each with at most that many bytes, can use the whole quota of
// all members: 128 MiB, and 1 MiB of each that does not count.
func allIsFree(total *limits.Total, most int64) bool {
	for left := int64(128 << 20); left > 0; {
		n := min(left, most-1<<20)
		quota := total.Quota()
		if quota.Take(n+1<<20) != nil {
			return false
		}
		defer quota.Give(n + 1<<20)
		left -= n
	}
	return true
}

// TestMemoryOfHostileMembers lets many members send too much at the same time.
func TestMemoryOfHostileMembers(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	object := membertest.Backup("b", membertest.Label("u1"), `,"status":{"failureReason":"`+strings.Repeat("x", 700<<10)+`"}`)
	server := membertest.NewAPIServer(t)
	server.SetFault(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") != "" {
			flood(w, r, func(i int) string { return added(strings.Replace(object, `"b"`, fmt.Sprintf(`"b%d"`, i), 1)) })
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"kind":"BackupList","apiVersion":"velero.io/v1","metadata":{"resourceVersion":"1"},"items":[`)
		for range 1000 {
			if _, err := io.WriteString(w, object+","); err != nil {
				return
			}
		}
	})
	o := impatient()
	o.CallTimeout, o.RetryMin, o.RetryMax = 20*time.Second, 100*time.Millisecond, time.Second
	pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), o)
	var all []*spectator
	for i := range 2 {
		of := migration.Velero{Cluster: migration.Cluster{Kind: "AttachedCluster", Name: fmt.Sprint("member", i)}, Namespace: "velero"}
		all = append(all, newSpectatorOf(t, pool, of))
	}
	for _, s := range all {
		s.await("that it sends too much", "u1", func(m migration.Member) bool {
			return errors.Is(m.Err, migration.ErrLimitExceeded)
		})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 256<<20 {
		t.Errorf("%d MiB are kept", grown>>20)
	}
	t.Logf("%d MiB of heap before, %d MiB after", before.HeapAlloc>>20, after.HeapAlloc>>20)
}

// TestLocationsAreBounded lists the storage locations of a member that has too many.
func TestLocationsAreBounded(t *testing.T) {
	server := membertest.NewAPIServer(t)
	for i := range 101 {
		server.Put("backupstoragelocations", membertest.Object(fmt.Sprint("l", i), ""))
	}
	pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), patient())
	s := newSpectator(t, pool)
	s.await("too many", "u1", failing("more than 100 backupstoragelocations are there"))
	m := newTestPool(t, membertest.NewHost(server.Kubeconfig()), patient()).Member("default", velero1)
	if seen := m.Read(t.Context(), objectsOf("u1")); !failing("there are more than 100 backupstoragelocations")(seen) {
		t.Errorf("asked: %v", seen.Err)
	}
}

// TestAnswersAreBounded makes calls whose answers are too large.
func TestAnswersAreBounded(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		call   func(*Member) error
		want   string
	}{
		"an object": {
			membertest.Answer(200, "application/json", membertest.Backup("b", membertest.Label("u1"), `,"status":{"failureReason":"`+strings.Repeat(long, 9)+`"}`)),
			func(m *Member) error { _, err := m.Backup(t.Context(), "b"); return err },
			`get backup "b" in AttachedCluster default/member1: an answer takes more than 8 MiB of memory here`,
		},
		"a list of small objects": {
			membertest.Answer(200, "application/json", membertest.BackupList("", strings.Repeat("{},", 50_000)+"{}")),
			func(m *Member) error { return m.Read(t.Context(), objectsOf("u1")).Err },
			"an answer takes more than 8 MiB of memory here",
		},
		"a list of our label": {
			membertest.Answer(200, "application/json", membertest.BackupList("", strings.Repeat(membertest.Backup("b", membertest.Label("u1"), "")+",", 16)+membertest.Backup("b", membertest.Label("u1"), ""))),
			func(m *Member) error { return m.Read(t.Context(), objectsOf("u1")).Err },
			"there are more than 16",
		},
		"a page": {
			membertest.Answer(200, "application/json", membertest.BackupList("more", "")),
			func(m *Member) error { return m.Read(t.Context(), objectsOf("u1")).Err },
			"there are more than 16",
		},
		"PodVolumeBackups": {
			membertest.Answer(200, "application/json", strings.ReplaceAll(membertest.BackupList("", strings.Repeat("{},", 50_000)+"{}"), "BackupList", "PodVolumeBackupList")),
			func(m *Member) error { _, err := m.PodVolumeBackups(t.Context(), "b"); return err },
			"a list of podvolumebackups takes more than 32 MiB of memory here",
		},
		"resources": {
			func(w http.ResponseWriter, r *http.Request) {
				groups := ""
				if r.URL.Path == "/apis" {
					groups = strings.Repeat(`{"name":"g","versions":[`+strings.Repeat(`{"groupVersion":"g/v","version":"v"},`, 100)+`{}]},`, 10) + "{}"
				}
				membertest.Answer(200, "application/json", `{"kind":"APIGroupList","apiVersion":"v1","groups":[`+groups+`]}`)(w, r)
			},
			func(m *Member) error {
				migrate := &v1alpha1.Migrate{Spec: v1alpha1.MigrateSpec{
					Requester: &v1alpha1.Requester{Username: "jane"},
					Policy:    &v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{IncludedResources: []string{"configmaps"}}},
				}}
				_, err := m.Review(t.Context(), migration.NewReview(migrate, migration.ClusterPlan{Source: true}))
				return err
			},
			"it has more than 1000 versions of API groups",
		},
		"a header": {
			func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Long", long)
				membertest.Answer(200, "application/json", membertest.Backup("b", membertest.Label("u1"), ""))(w, r)
			},
			func(m *Member) error { _, err := m.Backup(t.Context(), "b"); return err },
			"COMPRESSION_ERROR",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := membertest.NewAPIServer(t)
			server.SetFault(test.answer)
			pool := newTestPool(t, membertest.NewHost(server.Kubeconfig()), patient())
			reading := pool.reading.Quota()
			m := newMember(client.New("default", velero1, pool.kubeconfigs, pool.options, reading), pool.kept.Quota())
			t.Cleanup(m.close)
			if err := test.call(m); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %.300v, want %q", err, test.want)
			}
			if !m.client.Blocked() {
				t.Error("it is not left alone")
			}
			if !hasRoom(reading, 48<<20) {
				t.Error("not all is given back")
			}
		})
	}
}

// TestLiveReadsDropLongFields reads a Backup with a long filter.
func TestLiveReadsDropLongFields(t *testing.T) {
	server := membertest.NewAPIServer(t)
	backupsAre(server, membertest.Answer(200, "application/json", membertest.BackupList("", membertest.Backup("b1", membertest.Label("u1"),
		`,"spec":{"storageLocation":"default","includedNamespaces":["`+strings.Repeat("x", 1<<20)+`"]}`))), nil)
	m := newTestPool(t, membertest.NewHost(server.Kubeconfig()), patient()).Member("default", velero1)
	seen := m.Read(t.Context(), objectsOf("u1"))
	if seen.Err != nil || seen.Backup == nil || seen.Backup.Spec.StorageLocation != "default" || seen.Backup.Spec.IncludedNamespaces != nil {
		t.Errorf("asked: %+v", seen)
	}
}
