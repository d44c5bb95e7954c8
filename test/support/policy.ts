/** For tests of what is not about rights. */
export const OPEN_TO_ALL = 'acl allow all all all from=all'
