"""The GraphQL documents that Furrow sends to Linear."""

from typing import Final

_ISSUE = "id identifier url"
_FACTS = "title description priority"
TEAM = """
query FurrowTeam($key: String!) {
  teams(filter: {key: {eqIgnoreCase: $key}}, first: 50) { nodes { id key } }
}"""
TEAM_FIELDS = """
query FurrowTeamFields($id: String!) {
  team(id: $id) {
    issueEstimationType
    activeCycle { id number name }
    cycles(first: 50) { nodes { id number name } }
    states(first: 100) { nodes { id name } }
    projects(first: 100) { nodes { id name } }
    members(first: 250) { nodes { id name displayName email } }
  }
}"""
LABELS = """
query FurrowLabels($names: [IssueLabelFilter!]!) {
  issueLabels(filter: {or: $names}, first: 100) { nodes { id name isGroup team { id } } }
}"""
CREATE_LABEL = """
mutation FurrowCreateLabel($input: IssueLabelCreateInput!) {
  issueLabelCreate(input: $input) { success issueLabel { id name } }
}"""
CREATE = f"""
mutation FurrowCreate($input: IssueCreateInput!) {{
  issueCreate(input: $input) {{ success issue {{ {_ISSUE} {_FACTS} }} }}
}}"""
ISSUE = f"""
query FurrowIssue($id: String!) {{
  issue(id: $id) {{ {_ISSUE} {_FACTS} archivedAt trashed completedAt canceledAt state {{ type }} }}
}}"""
STATES_OF = """
query FurrowTickets($ids: [ID!]!, $since: DateTimeOrDuration!) {
  issues(filter: {id: {in: $ids}, updatedAt: {gte: $since}}, first: 100, includeArchived: true) {
    nodes {
      id identifier trashed completedAt canceledAt state { name type } assignee { displayName }
      relations(first: 5) { nodes { type relatedIssue { identifier } } } comments(first: 20) { nodes { id } }
      history(first: 5) { nodes { createdAt toState { name type } actor { displayName } botActor { name } } }
    }
  }
}"""
RELATE = """
mutation FurrowRelate($input: IssueRelationCreateInput!) { issueRelationCreate(input: $input) { success } }"""
FORMER_KEYS = """
query FurrowFormerKeys($id: String!) { issue(id: $id) { id previousIdentifiers } }"""
UPDATE = f"""
mutation FurrowUpdate($id: String!, $input: IssueUpdateInput!) {{
  issueUpdate(id: $id, input: $input) {{ success issue {{ {_ISSUE} {_FACTS} }} }}
}}"""
BY_URL = f"""
query FurrowAttachments($url: String!) {{
  attachmentsForURL(url: $url, first: 10, includeArchived: true) {{ nodes {{ url issue {{ {_ISSUE} createdAt trashed }} }} }}
}}"""
ATTACH = """
mutation FurrowAttach($input: AttachmentCreateInput!) { attachmentCreate(input: $input) { success } }"""
COMMENT = """
mutation FurrowComment($input: CommentCreateInput!) { commentCreate(input: $input) { success } }"""
FIND_COMMENT = """
query FurrowFindComment($id: String!) { comment(id: $id) { id } }"""
STATES = """
query FurrowStates($id: String!) {
  issue(id: $id) { team { defaultIssueState { id type } states(first: 100) { nodes { id type position } } } }
}"""
REOPEN = """
mutation FurrowReopen($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input) { success } }"""

DOCUMENTS: Final = (
    STATES_OF, RELATE, TEAM, TEAM_FIELDS, LABELS, CREATE_LABEL, CREATE, ISSUE, FORMER_KEYS, UPDATE, BY_URL, ATTACH, COMMENT,
    FIND_COMMENT, STATES, REOPEN,
)  # fmt: skip
