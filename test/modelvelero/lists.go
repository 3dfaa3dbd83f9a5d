// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// storage serves the lists of Backups and Restores over HTTP, as the object store of Velero does: each has
// the same items, and each Restore has created all of them.
type storage struct {
	listener net.Listener
	items    int
}

func newStorage(items int) (*storage, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	return &storage{listener, items}, err
}

// serve serves the lists until ctx ends.
func (s *storage) serve(ctx context.Context) {
	server := &http.Server{Handler: s}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		panic(err)
	}
}

// url returns the address of a file.
func (s *storage) url(kind velerov1.DownloadTargetKind) string {
	return fmt.Sprintf("http://%s/%s", s.listener.Addr(), kind)
}

func (s *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	action := ""
	switch velerov1.DownloadTargetKind(r.URL.Path[1:]) {
	case velerov1.DownloadTargetKindBackupResourceList:
	case velerov1.DownloadTargetKindRestoreResourceList:
		action = "(created)"
	default:
		http.NotFound(w, r)
		return
	}
	var items []string
	for i := range s.items {
		items = append(items, fmt.Sprintf("default/item-%d%s", i, action))
	}
	packed := gzip.NewWriter(w)
	_ = json.NewEncoder(packed).Encode(map[string][]string{"v1/ConfigMap": items})
	_ = packed.Close()
}

// answerers is the number of DownloadRequests that are answered at the same time: all modelled Veleros of a cluster share them.
const answerers = 16

// answer gives each DownloadRequest of a cluster its URL, until ctx ends. As Velero does, it drops those that are gone.
func (s *storage) answer(ctx context.Context, client rest.Interface) error {
	all := cache.NewListWatchFromClient(client, "downloadrequests", "", fields.Everything())
	informer := cache.NewSharedIndexInformer(all, &velerov1.DownloadRequest{}, 0, nil)
	queue := workqueue.NewTyped[string]()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(object any) {
		if key, err := cache.MetaNamespaceKeyFunc(object); err == nil {
			queue.Add(key)
		}
	}}); err != nil {
		return err
	}
	var answering sync.WaitGroup
	defer answering.Wait()
	defer queue.ShutDown()
	for range answerers {
		answering.Go(func() {
			for {
				key, shutdown := queue.Get()
				if shutdown {
					return
				}
				if object, exists, _ := informer.GetStore().GetByKey(key); exists {
					s.answerOne(ctx, client, object.(*velerov1.DownloadRequest))
				}
				queue.Done(key)
			}
		})
	}
	informer.RunWithContext(ctx)
	return nil
}

func (s *storage) answerOne(ctx context.Context, client rest.Interface, request *velerov1.DownloadRequest) {
	if request.Status.DownloadURL != "" {
		return
	}
	patch := fmt.Sprintf(`{"status":{"phase":%q,"downloadURL":%q}}`, velerov1.DownloadRequestPhaseProcessed, s.url(request.Spec.Target.Kind))
	// The request of a Migrate that has ended may be gone.
	_ = client.Patch(types.MergePatchType).Namespace(request.Namespace).Resource("downloadrequests").Name(request.Name).
		Body([]byte(patch)).Do(ctx).Error()
}
