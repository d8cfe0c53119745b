-- Rows of an organization are visible only inside a transaction that named the organization:
-- rap.organization_id is a comma-separated list of organization ids, or '*' for the platform itself
-- (reconciliation, the director, an owner). Never set: an error. Set and left again: empty, no rows.
create function rap_in_scope(organization text) returns boolean
  language sql stable
  return current_setting('rap.organization_id') = '*'
      or organization = any (string_to_array(current_setting('rap.organization_id'), ','));

alter table memberships          enable row level security;
alter table memberships          force row level security;
alter table secrets              enable row level security;
alter table secrets              force row level security;
alter table resources            enable row level security;
alter table resources            force row level security;
alter table sessions             enable row level security;
alter table sessions             force row level security;
alter table session_events       enable row level security;
alter table session_events       force row level security;
alter table cluster_audit_events enable row level security;
alter table cluster_audit_events force row level security;

-- A person may always find their own memberships: that is how the scope of a request is found.
create policy memberships_scope on memberships
  using (rap_in_scope(organization_id) or user_id = current_setting('rap.user_id', true))
  with check (rap_in_scope(organization_id));
create policy secrets_scope on secrets using (rap_in_scope(organization_id));
create policy resources_scope on resources using (rap_in_scope(organization_id));
create policy sessions_scope on sessions using (rap_in_scope(organization_id));
create policy session_events_scope on session_events using (rap_in_scope(organization_id));
create policy audit_read on cluster_audit_events for select using (rap_in_scope(organization_id));
create policy audit_append on cluster_audit_events for insert with check (true);
