// #region create
import { type Admin, createAdmin, MessError, PolicyError } from '@messkit/sdk/admin'

/** Once, for whoever administers. */
export const administer = (url: string, token: () => Promise<string>): Admin => createAdmin({ url, token })
// #endregion

/** Lets a group use lists, and another one end what goes wrong. */
export async function tour(admin: Admin): Promise<void> {
  // #region change
  const { version } = await admin.policy()
  await admin.changePolicy({
    add: {
      rules: ['acl allow-log all publish topic name="lists/#"'],
      grants: [
        { group: 'family', on: 'topic', name: 'lists', can: ['subscribe', 'history'] },
        { group: 'support', role: 'operator' },
      ],
    },
    ifVersion: version, // if somebody else was faster: `version_conflict`
  })
  // #endregion

  const { effect, by } = await admin.explain({
    user: 'ana',
    groups: ['family'],
    action: 'history',
    on: 'topic',
    name: 'lists/party',
  })
  console.log(`${effect} by ${by}`)
  // → allow by grant

  // #region wrong
  try {
    await admin.setAccess('lists/party', { rules: 'acl perhaps all publish', ifVersion: 0 })
  } catch (error) {
    if (error instanceof PolicyError)
      for (const { line, message } of error.problems) console.log(`line ${line}: ${message}`)
    else if (error instanceof MessError) console.log(error.code, error.retryable)
  }
  // #endregion
  // → line 1: a rule permits allow, allow-log, deny or deny-log

  // #region end
  const { links } = await admin.kick({ what: 'user', user: 'mallory' }) // now; whoever still may comes back
  await admin.revoke({ what: 'user', user: 'mallory' }) // tokens issued before now count no more
  const { acts } = await admin.audit({ limit: 2 })
  // #endregion
  console.log(links, acts.map(({ what, outcome }) => `${what} ${outcome}`).join(', '))
  // → 0 revoke done, kick done
}
