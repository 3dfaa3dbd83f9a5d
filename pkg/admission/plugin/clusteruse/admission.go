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
	// maxRefusals is how many refusals one answer tells.
	maxRefusals = 5
)

// Register registers the plugin.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin refuses Migrates of users who may not use their clusters.
type Plugin struct {
	*admission.Handler

	permission *permission.Checker
}

var (
	_ admission.ValidationInterface            = &Plugin{}
	_ admission.InitializationValidator        = &Plugin{}
	_ initializer.WantsUnconditionalAuthorizer = &Plugin{}
)

// New returns the plugin; it wants an authorizer.
func New() *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Delete)}
}

// SetUnconditionalAuthorizer sets whom the plugin asks.
func (p *Plugin) SetUnconditionalAuthorizer(a authorizer.UnconditionalAuthorizer) {
	p.permission = permission.New(a, permission.Options{})
}

// ValidateInitialization says what is missing.
func (p *Plugin) ValidateInitialization() error {
	if p.permission == nil {
		return errors.New("it needs an authorizer")
	}
	return nil
}

// Validate asks whether the user may use what a new Migrate refers to.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != backup.Resource("migrates") || a.GetSubresource() != "" {
		return nil
	}
	if a.GetOperation() == admission.Delete {
		return audit(a, a.GetOldObject())
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

func refusal(username string, denied []permission.Object) error {
	var errs []error
	for i, object := range denied {
		if i == maxRefusals {
			errs = append(errs, fmt.Errorf("and %d more", len(denied)-i))
			break
		}
		errs = append(errs, errors.New(object.Refusal(username)))
	}
	return errors.Join(errs...)
}

// audit notes in the audit event who asked for a migration and which clusters it
// is about. Where many are deleted at once, there is one event for all of them.
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

// inWords names the clusters of a destination.
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
