// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package clusteruse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/utils/ptr"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/permission"
)

// PluginName is the name of the plugin, as in --disable-admission-plugins.
const PluginName = "ClusterUse"

const (
	// requesterKey and clustersKey are the annotations of audit events.
	requesterKey = "backup.kurator.dev/requester"
	clustersKey  = "backup.kurator.dev/clusters"
	// maxAudited bounds an annotation of an audit event, in bytes.
	maxAudited = 4096
	// maxRefusals is the largest number of refusals in one response.
	maxRefusals = 5
)

// Register registers the plugin.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin refuses Migrates whose creator may not use their clusters, and to suspend or resume one for who may not.
type Plugin struct {
	*admission.Handler

	permission *permission.Checker
}

var (
	_ admission.ValidationInterface            = &Plugin{}
	_ admission.InitializationValidator        = &Plugin{}
	_ initializer.WantsUnconditionalAuthorizer = &Plugin{}
)

// New returns the plugin, which needs an authorizer.
func New() *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update, admission.Delete)}
}

// SetUnconditionalAuthorizer sets the authorizer.
func (p *Plugin) SetUnconditionalAuthorizer(a authorizer.UnconditionalAuthorizer) {
	p.permission = permission.New(a, permission.Options{})
}

// ValidateInitialization returns an error if the authorizer is missing.
func (p *Plugin) ValidateInitialization() error {
	if p.permission == nil {
		return errors.New("an authorizer is missing")
	}
	return nil
}

// Validate refuses to create, suspend or resume a Migrate if the user may not use the clusters it refers to.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != backup.Resource("migrates") || a.GetSubresource() != "" {
		return nil
	}
	if a.GetOperation() == admission.Delete {
		return audit(a, a.GetOldObject())
	}
	if a.GetOperation() == admission.Update && isSuspended(a.GetObject()) == isSuspended(a.GetOldObject()) {
		return nil
	}
	if err := audit(a, a.GetObject()); err != nil {
		return err
	}
	m, ok := a.GetObject().(*backup.Migrate)
	if !ok {
		return apierrors.NewInternalError(fmt.Errorf("%T is not a Migrate", a.GetObject()))
	}
	var spec v1alpha1.MigrateSpec
	if err := v1alpha1.Convert_backup_MigrateSpec_To_v1alpha1_MigrateSpec(&m.Spec, &spec, nil); err != nil {
		return apierrors.NewInternalError(err)
	}
	denied, err := p.permission.Denied(ctx, a.GetUserInfo(), permission.ObjectsOf(a.GetNamespace(), &spec))
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if len(denied) == 0 {
		return nil
	}
	return admission.NewForbidden(a, refusal(a.GetUserInfo().GetName(), denied))
}

func isSuspended(object any) bool {
	m, ok := object.(*backup.Migrate)
	return ok && ptr.Deref(m.Spec.Suspend, false)
}

func refusal(username string, denied []permission.Object) error {
	var errs []error
	for i, object := range denied {
		if i == maxRefusals {
			errs = append(errs, fmt.Errorf("and %d more", len(denied)-i))
			break
		}
		errs = append(errs, errors.New(object.Denial(username)))
	}
	return errors.Join(errs...)
}

// audit adds the requester and the clusters of a Migrate to the audit event. A deletecollection
// has a single event for all Migrates, to which nothing is added.
func audit(a admission.Attributes, object any) error {
	m, ok := object.(*backup.Migrate)
	if !ok || a.GetOperation() == admission.Delete && a.GetName() == "" {
		return nil
	}
	requester := ""
	if m.Spec.Requester != nil {
		requester = m.Spec.Requester.Username
	}
	return errors.Join(
		a.AddAnnotation(requesterKey, migration.Shorten(requester, maxAudited)),
		a.AddAnnotation(clustersKey, migration.Shorten(inWords(m.Spec.SourceCluster)+" -> "+inWords(m.Spec.TargetCluster), maxAudited)),
	)
}

// inWords returns the names of the clusters of a destination.
func inWords(d backup.Destination) string {
	if len(d.Clusters) == 0 {
		return "Fleet/" + d.Fleet
	}
	var names []string
	for _, ref := range d.Clusters {
		c := migration.ClusterFor(ref)
		names = append(names, c.Kind+"/"+c.Name)
	}
	return strings.Join(names, ",")
}
